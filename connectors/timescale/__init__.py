"""PostgreSQL with TimescaleDB: where readings, insights and all marks are kept."""
