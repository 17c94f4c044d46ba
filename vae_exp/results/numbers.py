"""Write a number with as many digits as its standard error allows."""

import math


def shown(value: float, error: float | None = None) -> str:
    """Format a value with its standard error, such as −118.4 ± 0.3.

    The error gets one significant digit, or two if it begins with 1, and the value as many decimals as the error.

    Args:
        value: The value.
        error: Its standard error. Without one, or if it is 0 or not finite, the value gets two decimals.
    """
    if not math.isfinite(value) or abs(value) >= 1e6:  # the model is diverging
        return f"{value:.3g}"
    if not error or not math.isfinite(error):
        return f"{value:.2f}"
    return f"{value:.{decimals_of(error)}f} ± {alone(error)}"


def alone(error: float | None) -> str:
    """Format a standard error by itself, with the digits that it has in `shown`; "?" if it is not known."""
    return "?" if error is None else f"{error:.{decimals_of(error)}f}"


def decimals_of(error: float) -> int:
    """Return the number of decimals that a value with this standard error gets."""
    digits, exponent = f"{error:.1e}".split("e")
    return min(max(0, (1 if digits[0] == "1" else 0) - int(exponent)), 6)


def rounded(value: float, error: float | None) -> str:
    """Format a value with the digits that its standard error allows, without the error."""
    return shown(value, error).partition(" ")[0]
