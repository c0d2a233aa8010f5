"""Likelihoods: from raw maps to the distribution of counts, real values or pixels."""

from curvi.likelihoods._base import Likelihood
from curvi.likelihoods._bernoulli import Bernoulli, BernoulliLikelihood
from curvi.likelihoods._continuous_bernoulli import ContinuousBernoulli, ContinuousBernoulliLikelihood
from curvi.likelihoods._counts import NegativeBinomial, Poisson, ZeroInflatedNegativeBinomial
from curvi.likelihoods._dispersion import (
    CategoryDispersion,
    CellDispersion,
    Dispersion,
    FeatureDispersion,
    FixedDispersion,
)
from curvi.likelihoods._mean import CountMean
from curvi.likelihoods._negative_binomial import NegativeBinomialLikelihood
from curvi.likelihoods._normal import NormalLikelihood
from curvi.likelihoods._observations import Counts, Observations, RealValues, UnitInterval
from curvi.likelihoods._poisson import PoissonLikelihood
from curvi.likelihoods._student_t import StudentT, StudentTLikelihood
from curvi.likelihoods._zero_inflated_negative_binomial import ZeroInflatedNegativeBinomialLikelihood

__all__ = [
    "Bernoulli",
    "BernoulliLikelihood",
    "CategoryDispersion",
    "CellDispersion",
    "ContinuousBernoulli",
    "ContinuousBernoulliLikelihood",
    "CountMean",
    "Counts",
    "Dispersion",
    "FeatureDispersion",
    "FixedDispersion",
    "Likelihood",
    "NegativeBinomial",
    "NegativeBinomialLikelihood",
    "NormalLikelihood",
    "Observations",
    "Poisson",
    "PoissonLikelihood",
    "RealValues",
    "StudentT",
    "StudentTLikelihood",
    "UnitInterval",
    "ZeroInflatedNegativeBinomial",
    "ZeroInflatedNegativeBinomialLikelihood",
]
