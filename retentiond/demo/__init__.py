"""A small company to try retentiond on: it is invented, and everything about it is on disk.

Pellow & Wren Ltd looks after the telephones and computers of small firms. Its privacy notice
(`notices/privacy.txt`) makes seven promises, and for years nobody has kept them:

- Calls are recorded and go after six months. They go back almost eight months: 20,000 sound
  files and as many rows in the telephone system's database, of which 3,840 each are due.
- Files for a support case go once the case is solved. The engineers delete them when they
  think of it: those of 60 solved tickets are still there. Tickets that are open or were opened
  again keep theirs, and one was resolved twenty minutes ago, which may still be a slip.
- Letters to the desk go into an encrypted archive after three months: 40 of 200.
- Backups are held for fourteen nights, each with an encrypted copy in another building. None was
  ever copied, so none of the 60 may go yet; and the one that somebody carried away is not encrypted.
- Addresses that left the monthly letter go after a month: 48 of 132.
- Lines of the web server's log live for 28 days. Nobody ever deleted any, so 4,800 of 6,000
  are due at once. A limit trips, and a person has to say that this is meant.
- Customers and invoices stay for six years, because a statute wants it.

`build` makes the folder. The same `now` makes the same folder, byte for byte, and the figures
in `DUE` hold for every `now`: the calendar is laid out backwards from it. Telephone numbers,
addresses and connections are from the ranges set aside for fiction and documentation.
"""

from retentiond.demo.builder import DUE, POPULATION, TRIPS, build

__all__ = ["DUE", "POPULATION", "TRIPS", "build"]
