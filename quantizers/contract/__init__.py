"""The contract of quantizers, checked: `check_quantizer` says what of it a quantizer breaks."""

from quantizers.contract.check import CHECKS, Candidate, Examination, check_quantizer, examine
from quantizers.contract.fault import Fault
from quantizers.contract.tensor import faults_of, tensor_faults

__all__ = ["CHECKS", "Candidate", "Examination", "Fault", "check_quantizer", "examine", "faults_of", "tensor_faults"]
