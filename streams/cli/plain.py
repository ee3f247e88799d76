"""Text of devices and models, made fit for a terminal."""


def plain(text: str) -> str:
    """Give a text with nothing that a terminal would act on."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape", "surrogatepass").decode() for one in text)
