import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbench.report.statistics.letters import letters


@st.composite
def comparisons(draw):
    count = draw(st.integers(0, 9))
    pairs = list(itertools.combinations(range(count), 2))
    return count, draw(st.sets(st.sampled_from(pairs))) if pairs else set()


def split(text):
    """The letters of a text of a, b, ..., z, a1, ...: a letter and the digits after it are one."""
    found = []
    for character in text:
        if character.isalpha():
            found.append(character)
        else:
            found[-1] += character
    return found


def check(count, apart, found):
    names = [set(split(each)) for each in found]
    assert len(found) == count
    assert all(names)
    for i, j in itertools.combinations(range(count), 2):
        assert bool(names[i] & names[j]) == ((i, j) not in apart and (j, i) not in apart)


@given(comparisons())
def test_two_share_a_letter_exactly_if_they_are_not_distinguishable(made):
    check(*made, letters(*made))


@given(comparisons())
def test_no_letter_is_superfluous(made):
    """Without any one letter a pair that is not distinguishable would share none, or a group would have none."""
    found = [set(split(each)) for each in letters(*made)]
    for letter in set().union(*found):
        rest = [each - {letter} for each in found]
        pairs = itertools.combinations(range(len(found)), 2)
        assert not all(rest) or any(found[i] & found[j] and not rest[i] & rest[j] for i, j in pairs)


@given(comparisons())
def test_the_order_of_pairs_and_within_them_does_not_matter(made):
    count, apart = made
    assert letters(count, {(j, i) for i, j in apart}) == letters(count, apart)


def test_example_3_of_piepho():
    """Eight treatments, of which five pairs differ: T1 and T7, T1 and T8, T2 and T4, T2 and T5, T3 and T5."""
    apart = {(0, 6), (0, 7), (1, 3), (1, 4), (2, 4)}
    found = letters(8, apart)
    check(8, apart, found)
    # What insert-and-absorb finds, by hand; a letter is one of these six sets.
    sets = [{4, 5, 6, 7, 8}, {3, 4, 6, 7, 8}, {2, 3, 6, 7, 8}, {1, 4, 5, 6}, {1, 3, 4, 6}, {1, 2, 3, 6}]
    for letter in set("".join(found)):
        assert {place for place, each in enumerate(found, 1) if letter in each} in sets


def test_a_chain_by_hand():
    assert letters(4, [(0, 2), (0, 3), (1, 3)]) == ["a", "ab", "bc", "c"]
    assert letters(3, []) == ["a", "a", "a"]
    assert letters(3, [(0, 1), (0, 2), (1, 2)]) == ["a", "b", "c"]
    assert letters(3, [(0, 2), (0, 1)]) == ["a", "b", "b"]
    assert letters(0, []) == []


def test_after_z_comes_a1():
    found = letters(28, list(itertools.combinations(range(28), 2)))
    assert found[25:] == ["z", "a1", "b1"]


@pytest.mark.parametrize("size", [2, 3, 5])
def test_the_worst_cases_of_thirty_groups_are_quick(size):
    """Groups distinguishable within blocks alone: with blocks of three there are 3^10 largest sets."""
    apart = {(i, j) for i, j in itertools.combinations(range(30), 2) if i // size == j // size}
    start = time.process_time()
    found = letters(30, apart)
    assert time.process_time() - start < 1
    check(30, apart, found)
