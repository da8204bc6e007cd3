"""What the other commands show: estimates, benchmarks, calibrations, exports, lists, facts about the machine."""
