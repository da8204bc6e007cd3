import pytest
import storing_cheats as cheats

from quantizers import LayerPlace
from quantizers.contract import check_quantizer

LINEAR = LayerPlace("fc", "activations", "linear", (8, 331), 0, 1)
ONE_CHANNEL = LayerPlace("conv", "activations", "conv2d", (8, 1, 3, 3), 0, 1)


# The quantizer, the check that catches it, and words of its message.
CHEATS = [
    (cheats.NamesItAsEncoding, "storage", r"reads 'table' \(1,000 values\), .* at most 8 values beside them"),
    (cheats.CountsNothing, "storage", r"reads 'table' \(1,000 values\), which is not among inference_tensors"),
    (cheats.CountsLess, "storage", r"reads 'table' \(1,000 values\)"),
    (cheats.InArray, "hidden", r"reads self.table \(1,000 values\)"),
    (cheats.InTuple, "hidden", r"reads self.tables\[0\] \(1,000 values\)"),
    (cheats.InNumbers, "hidden", r"reads self.table \(1,000 values\)"),
    (cheats.InObject, "hidden", r"reads self.holder.table \(1,000 values\)"),
    (cheats.OfTheClass, "hidden", r"reads self.table \(1,000 values\)"),
    (cheats.OfTheModule, "hidden", r"reads the global GLOBAL \(1,000 values\)"),
]


@pytest.mark.parametrize(("cheat", "check", "words"), CHEATS, ids=[cheat.__name__ for cheat, _, _ in CHEATS])
def test_what_evaluation_reads_is_stored_and_counted(cheat, check, words):
    (fault,) = check_quantizer(cheat(), place=LINEAR)
    assert fault.check == check
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(fault.message)


def test_a_global_is_as_it_was():
    check_quantizer(cheats.OfTheModule(), place=LINEAR)
    assert float(cheats.GLOBAL.sum()) == cheats.VALUES


@pytest.mark.parametrize("quantizer", [cheats.CountsEnough, cheats.FewValues, cheats.UnreadBookkeeping])
def test_bookkeeping_and_other_forms_may_be(quantizer):
    assert check_quantizer(quantizer(), place=LINEAR) == []


def test_of_weights_codes_are_stored_and_no_tables():
    assert "storage" not in {fault.check for fault in check_quantizer(cheats.CountsNothing())}


def test_a_scale_for_each_code_of_a_single_channel():
    (fault, *_) = check_quantizer(cheats.ScalePerCode(), place=ONE_CHANNEL)
    assert fault.check == "scale"
    assert "[4, 1, 7, 5] for codes [4, 1, 7, 5], 140 real numbers that nobody counts" in fault.message


def test_a_format_that_changes_when_it_is_read():
    (fault, *_) = check_quantizer(cheats.OtherFormatAgain(), place=LINEAR)
    assert fault.check == "format"
    assert "when it is read again" in fault.message
