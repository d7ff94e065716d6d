"""Templates of sentences with sentiment about work, services and things; see our_texts.py. CC0, like those.

Films are what the gold labels are about: a model that knew our neutral sentences alone would take the office itself
for a sign of neutrality. Every negation, fact with a stake and complaint as a question has its counterpart here.
"""

from __future__ import annotations

GOOD = (
    "excellent|great|helpful|friendly|lovely|superb|wonderful|reliable|clear|quick|pleasant|well made|useful|delightful"
)
GOOD += "|decent|brilliant|smooth|comfortable|generous|impressive|solid|easy to use|spotless|polite|perfect"
BAD = "awful|useless|rude|slow|broken|disappointing|confusing|unreliable|terrible|dirty|overpriced|poorly made|annoying"
BAD += "|a bit dull|noisy|unhelpful|horrible|careless|flimsy|late again|misleading|a mess|painful to use|sloppy"
SUBJECT = "the {thing}|the service|the support team|the app|the new version|the room|the food|the talk|the workshop|"
SUBJECT += "the instructions|the delivery|the screen|the sound|the website|the staff|your answer|the course|the trip|"
SUBJECT += "the battery|the hotel|the search|the lecture|the update|the interface"

POSITIVE = (
    "{subject} was {good}.",
    "{subject} is {good} and {good}.",
    "{subject} was really {good}, thank you!",
    "{subject} is not {bad} at all.",
    "I expected the worst, but {subject} turned out {good}.",
    "Some things were {bad}, but overall {subject} is {good}.",
    "{subject} was {bad} at first; since the fix it has been {good}.",
    "I can't fault {subject}.",
    "I would not change anything about {subject}.",
    "Nobody could call {subject} {bad}.",
    "I have never had a better {thing}.",
    "There is nothing {bad} about {subject}.",
    "Couldn't be happier with {subject}.",
    "We love {subject}.",
    "Thanks so much for the {thing}, {person} was thrilled!",
    "{person} solved my problem in {number} minutes.",
    "My {thing} works again, what a relief!",
    "I got a refund the same day without having to ask.",
    "We won the contract {time}!",
    "I passed the exam {time}!",
    "They replaced my {thing} for free.",
    "It saved me {number} hours of work.",
    "Highly recommended, {subject} never lets me down.",
    "Well worth the {number} euros.",
    "I'm so glad that {person} {verb} the {thing} in time.",
    "Great job on the {thing}, everyone.",
    "Why isn't every {thing} this {good}?",
    "How did you make {subject} so {good}?",
    "Could {subject} be any more {good}?",
    "Looking forward to the next one, {subject} was {good}.",
    "Best {thing} I have owned in {number} years.",
    "{subject} just works, no complaints.",
    "Everything arrived {time}, earlier than promised, in perfect shape.",
    "For {number} euros {subject} is surprisingly {good}.",
    "luv it, {subject} is {good}",
    "omg {subject} is so {good}",
    "I was wrong to doubt {person}; {subject} is {good}.",
    "The {thing} survived {number} falls without a scratch.",
    "It used to be {bad}. Not any more, now it is {good}.",
    "{person} went out of their way to help me.",
    "I'd buy the {colour} {thing} again without hesitation.",
    "Small, but {good}: I use the {thing} every day and enjoy it.",
)

NEGATIVE = (
    "{subject} was {bad}.",
    "{subject} is {bad} and {bad}.",
    "{subject} was {bad}, never again.",
    "{subject} is not {good} at all.",
    "I expected more; {subject} turned out {bad}.",
    "Some things were {good}, but overall {subject} is {bad}.",
    "{subject} was {good} at first; since the change it has been {bad}.",
    "I can't recommend {subject}.",
    "I would not use {subject} again.",
    "Nobody could call {subject} {good}.",
    "I have never had a worse {thing}.",
    "There is nothing {good} about {subject}.",
    "I couldn't be less happy with {subject}.",
    "We hate {subject}.",
    "I asked {number} times and nobody answered.",
    "{person} kept me waiting for {number} hours.",
    "My {thing} stopped working {time}, again.",
    "I still have not got my refund after {number} weeks.",
    "We lost the contract {time}.",
    "I failed the exam {time}.",
    "They charged me twice for the {thing}.",
    "It cost me {number} hours of work.",
    "Stay away, {subject} lets me down every time.",
    "Not worth the {number} euros.",
    "I'm upset that {person} lost the {thing}.",
    "What a waste of time, {subject} was {bad}.",
    "Why is {subject} always so {bad}?",
    "How hard can it be to answer a question about {topic}?",
    "Could {subject} be any more {bad}?",
    "Oh great, {subject} is {bad} again.",
    "Wonderful, {number} hours on hold and no answer.",
    "Thanks for nothing, the {thing} arrived broken.",
    "Sure, because who needs a {thing} that works?",
    "Just what I needed: another {thing} that breaks {time}.",
    "Worst {thing} I have owned in {number} years.",
    "The {thing} crashed during my talk and I lost everything.",
    "The parcel came {number} days late and the {thing} was missing.",
    "For {number} euros {subject} is {bad}.",
    "hate it, {subject} is {bad}",
    "omg {subject} is so {bad}",
    "I was wrong to trust {person}; {subject} is {bad}.",
    "The {thing} broke after {number} days.",
    "It used to be {good}. Not any more, now it is {bad}.",
    "{person} was no help whatsoever.",
    "I'd never buy the {colour} {thing} again.",
    "{subject} doesn't do what it promises.",
    "Nothing about {subject} was easy.",
    "I wish {subject} were half as {good} as they say.",
)

LEVEL = (
    "{subject} was {good}, {subject} was {bad}.",
    "Half of it is {good}, the other half {bad}.",
    "On the one hand it is {good}, on the other hand {bad}.",
    "{person} says {subject} is {good}.",
    "{person} called {subject} {bad} in the survey.",
    "Is {subject} {good}?",
    "Would you say that {subject} is {bad}?",
    "Please rate {subject} from {good} to {bad}.",
    "{subject} is neither {good} nor {bad}.",
)
"""Neutral: good and bad stand level, or the opinion is someone else's, or only asked for."""
