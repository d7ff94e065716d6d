"""Golden datasets: cases read, run through a function, and scored."""
