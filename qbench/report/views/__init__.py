"""The views of a report, one file each: the rows that tables and charts show."""
