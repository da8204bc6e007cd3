"""ApproxSign of Bi-Real Net (Liu et al., ECCV 2018, section 3.3): a sign of activations with a closer gradient."""

from qbench import SCHEMES, get_scheme
from quantizers import Sign, register, sign, straight_through


def approximate(grad, x):
    """Return grad · max(0, 2 - 2|x|): the derivative of a quadratic spline that nears the sign."""
    return grad * (2 - 2 * x.abs()).clamp_min(0)


@register("approx_sign")
class ApproxSign(Sign):
    """Forward: +1 if x >= 0 else -1; backward: `approximate`."""

    is_binary, encoding = True, Sign.encoding  # the values are the sign's: what it says of them holds here, too

    def forward(self, x):
        return straight_through(x, sign, approximate)


SCHEMES.add("bi-real", get_scheme("xnor-net", name="bi-real", activations="approx_sign"))
