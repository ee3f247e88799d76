"""What is wrong, and what to do about it: each module looks at one part, and gives findings."""
