"""retentiond keeps the promises of a privacy notice, and proves it.

It reads the rules, looks at the stores, judges what it sees, writes down what it means to do, does
exactly that, and writes down what came of it. The rooms, in the order of that sentence:

- `config` reads `retentiond.yaml` and `policies.d/` into a rulebook (`config.load`).
- `stores` shows what there is: files, tables; one that only looks cannot destroy (`engine.ports.View`).
- `core` knows what it all means: periods, generations, holds, and who wins (`core.ladder`). It is pure.
- `engine` goes the way: looks, judges and drafts (`engine.pipeline`), and acts (`engine.executor`).
- `ledger` remembers: state and its evidence change together, in one transaction (`ledger.ledger`).
- `audit` publishes the evidence as a log that a stranger can verify (`audit.publish`, `audit.verify`).
- `app` puts the parts together, one module for each thing that a person may ask for, and alone reads the clock.
- `daemon` does the same by itself: each category on its schedule, in a process of its own.
- `cli` is the door for people: one file per command.

Beside them: `errors`, every exception on one page with its exit code; `testing`, for authors of stores; and
`demo`, a small company to try it on. Each room imports only from rooms below it; `docs/development.md` has
the tour file by file.

To read one deletion from end to end: `cli.plan`, `app.planning`, `engine.pipeline`, `core.ladder`, `core.plan`;
then `cli.apply`, `app.applying`, `engine.executor`, `ledger.journal`, `audit.publish`.
"""
