from services.thumbnailer.palette import FALLBACK, dominant

RED, BLUE, CLEAR = bytes((200, 30, 20, 255)), bytes((10, 20, 200, 255)), bytes((0, 255, 0, 0))


def test_the_most_frequent_colour_wins() -> None:
    assert dominant(RED * 5 + BLUE * 4) == "#C81E14"


def test_noise_around_a_colour_counts_for_it() -> None:
    noisy = b"".join(bytes((196 + step, 20 + step, 20, 255)) for step in range(8))
    assert dominant(noisy + BLUE * 7) == "#C81814"


def test_transparent_pixels_are_not_counted() -> None:
    assert dominant(CLEAR * 100 + BLUE) == "#0A14C8"


def test_a_picture_without_a_visible_pixel_is_black() -> None:
    assert dominant(CLEAR * 4) == FALLBACK
    assert dominant(b"") == FALLBACK


def test_a_tie_does_not_depend_on_the_order_of_pixels() -> None:
    assert dominant(RED * 3 + BLUE * 3) == dominant(BLUE * 3 + RED * 3) == "#0A14C8"
