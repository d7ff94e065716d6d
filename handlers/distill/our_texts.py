"""Training sentences written for this project (CC0): questions, requests, statements of fact, and opinions.

The gold labels are about films alone and hold hardly a neutral sentence that is not a lukewarm review. Slots in braces
are filled from the lists below; none of it was made from, or looked at beside, the cases of the golden datasets.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator, Sequence

from handlers.distill.our_opinions import BAD, GOOD, LEVEL, NEGATIVE, POSITIVE, SUBJECT

SLOTS = {
    "person": "she|he|my neighbour|the manager|our team|the committee|a student|the driver|my sister|the engineer|"
    "Maria|Tom|the company|the nurse|their office|the city council|the teacher|an assistant",
    "thing": "report|invoice|package|laptop|ticket|document|printer|phone|camera|book|bicycle|contract|form|key|"
    "spreadsheet|update|table|router|presentation|recording|parcel|manual|charger|calendar",
    "place": "the station|the office|room 204|the library|Berlin|the airport|the second floor|"
    "the warehouse|the kitchen|Bratislava|the lobby|the car park|the main hall|"
    "the archive|the front desk|New York|the museum|building C",
    "time": "on Monday|at nine o'clock|tomorrow|next week|in March|this afternoon|at 14:30|every Tuesday|in 2019|"
    "on the third of May|after lunch|by the end of the month|twice a year|before the meeting|at noon|last Friday",
    "number": "two|three|five|seven|twelve|twenty|48|100|250|1,200|six|nine|15",
    "topic": "the schedule|pricing|the agenda|data retention|the exam|remote work|the budget|parking|the roadmap|"
    "travel expenses|the new policy|opening hours|delivery|registration|the second chapter|insurance",
    "verb": "opened|moved|signed|printed|returned|ordered|copied|collected|counted|checked|scanned|sent|shared|stored",
    "colour": "blue|red|green|grey|black|white|brown|yellow",
    "good": GOOD,
    "bad": BAD,
    "subject": SUBJECT,
}

NEUTRAL = (
    "What time does {place} open?",
    "When will the {thing} be sent to {person}?",
    "Where can I find the {thing}?",
    "Who is responsible for {topic}?",
    "How many people will attend {time}?",
    "How long does it take to get from {place} to the hotel?",
    "Is the {thing} available in {colour}?",
    "Could you send me the {thing} {time}?",
    "Can you explain how {topic} works?",
    "Will there be a session about {topic} {time}?",
    "Does the {thing} come with a cable?",
    "Which version of the {thing} are you using?",
    "Do we need to bring a {thing}?",
    "What is your opinion on {topic}?",
    "Are there any plans regarding {topic} {time}?",
    "Why was the meeting moved to {place}?",
    "Has anyone seen the {colour} {thing}?",
    "What's the difference between the {thing} and the {thing}?",
    "Should we start {time} or wait for {person}?",
    "{person} {verb} the {thing} {time}.",
    "{person} {verb} {number} of the {colour} folders.",
    "The {thing} is in {place}.",
    "The {thing} weighs {number} kilograms.",
    "The meeting about {topic} takes place {time}.",
    "There are {number} chairs in {place}.",
    "The train to {place} leaves {time}.",
    "{person} works in {place}.",
    "It has {number} pages and a {colour} cover.",
    "The price is {number} euros including tax.",
    "Please leave the {thing} at {place}.",
    "Please sign the {thing} {time}.",
    "I bought a {colour} {thing} {time}.",
    "We received {number} orders {time}.",
    "My {thing} arrived {time}.",
    "The {thing} was made in {number} parts and ships from {place}.",
    "{person} will talk about {topic} {time}.",
    "Questions about {topic} go to {person}.",
    "The box contains a {thing} and {number} screws.",
    "I am calling about {topic}.",
    "Turn left at {place} and walk for {number} minutes.",
    "The film runs for {number} minutes and was shot in {place}.",
    "The story is set in {place} and follows {person}.",
    "The battery holds {number} hours of charge.",
    "The {thing} has not been {verb} yet.",
    "It is neither new nor old; {person} got it {time}.",
    "This is the {colour} model, not the {colour} one.",
    "According to {person}, the {thing} is stored in {place}.",
    "Water boils at {number} degrees at this height.",
    "The survey covers {topic} and {topic}.",
    "{person} asked whether the {thing} was {verb} {time}.",
    "The shop is closed {time}.",
    "Our office has moved from {place} to {place}.",
    "Minutes of the meeting {time}: {topic}, {topic}.",
    "Attached is the {thing} for {topic}.",
    "ok, see you {time}",
    "any news about {topic}?",
    "how do i reset the {thing}",
    "where is {place}",
    "I used it {time} for about {number} minutes.",
    "It does what the {thing} before it did.",
    "The {thing} is okay, about average.",
    "It was neither good nor bad.",
    "An ordinary {thing}, nothing more and nothing less.",
    "I have no strong feelings about {topic}.",
)


TEMPLATES = {"negative": NEGATIVE, "neutral": (*NEUTRAL, *LEVEL), "positive": POSITIVE}


def fill(template: str, draw: random.Random) -> str:
    """One sentence; the first letter large where it ends as sentences do."""
    filled = template
    while "{" in filled:  # a subject has a slot of its own
        filled = re.sub(r"{(\w+)}", lambda slot: draw.choice(SLOTS[slot[1]].split("|")), filled)
    return filled[0].upper() + filled[1:] if filled[-1] in ".?!" else filled


def our_texts(templates: Sequence[str], count: int, seed: int) -> list[str]:
    """At most `count` different sentences, every template as often as any other while it has more to give."""
    draw = random.Random(seed)  # noqa: S311 - training data, repeatable on purpose

    def endless() -> Iterator[str]:
        for template in itertools.chain.from_iterable(itertools.repeat(templates, 1 + 2 * count // len(templates))):
            yield fill(template, draw)

    return list(itertools.islice(dict.fromkeys(endless()), count))
