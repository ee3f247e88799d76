"""Dead letters: what they hold, which are meant, how they are mended, and where they go then."""
