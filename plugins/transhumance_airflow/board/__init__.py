"""The board: what waits for whom, what moves, what is stuck and what to press.

`gather` asks the registry and Airflow, `views` puts the answers into words, `templates/` into HTML; `app` holds the
routes and who may use them, `live` the stream that keeps an open page true. Pages are plain HTML that the server
renders; htmx swaps the sections that have changed.
"""

PREFIX = "/transhumance-board"
"""Where the board is mounted below Airflow's own address: not below the API's, whose mount could take it."""
