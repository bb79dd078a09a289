"""What is not lake: the ledger of partitions, the slots of the schedule, shared rate budgets. SQLite, or PostgreSQL.

What does not belong here: answers and tables (lake), and deciding what to ask (flow, work).
"""
