"""The report of a sweep: table, statistics, pictures, dashboard and analysis in one folder."""
