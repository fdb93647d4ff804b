"""Rules that archive and copy, to be given a recipient."""

RULES = """\
  letters:
    store: desk
    select: {{path: "letters/**"}}
    start: modified
    retention_period: 3 months
    action: {{archive: {{to: away, encrypt: [{recipient}]}}}}
  nights:
    store: desk
    select: {{path: "nights/{{day:%Y-%m-%d}}/**"}}
    start: {{path: day}}
    generations: {{last: 1}}
    copy: {{to: away, encrypt: [{recipient}]}}
    require: {{copies: {{store: away}}}}
    action: delete
"""
"""Letters are archived, and nights are copied, to the store `away`."""
SALES = """\
  sales:
    store: till
    select: {{table: sales, where: "id > 0"}}
    start: {{column: at}}
    retention_period: 3 months
    action: {{archive: {{to: vault, encrypt: [{recipient}]}}}}
"""
"""Rows are archived in the store `vault`."""
