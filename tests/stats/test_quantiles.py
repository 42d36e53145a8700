"""Quantiles against scipy's own distributions, to the bit."""

import math

from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, t

from clbench.stats.quantiles import normal_quantile, t_quantile

SHARES = st.floats(1e-6, 1 - 1e-6)


@given(SHARES, st.floats(0.5, 1e9))
def test_quantiles_are_those_of_scipy_s_distributions(share, freedom):
    assert t_quantile(share, freedom) == t.ppf(share, freedom)
    assert normal_quantile(share) == norm.ppf(share) == t_quantile(share, math.inf)
