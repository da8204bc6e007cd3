"""Names and errors that would do harm where they are not escaped."""

HOSTILE = (
    "<script>alert(1)</script>",
    r"\input{/etc/passwd}",
    r"$\write18{ls}$ 50% #1 & ~^_{}",
    "a|b",
    "two\nlines",
    '=HYPERLINK("http://x","y")',
    "@SUM(A1)",
    "-1+1",
    "red \x1b[31m and \x9b31m",
    "right \u202eto left",
    "**bold** [link](javascript:alert(1)) `code` ![image](x)",
    '"quoted", and',
    "--dry-run",
    "[0] * 2",
)
