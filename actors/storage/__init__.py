"""The database: tables, migrations, the writer's core, and the questions that readers answer."""
