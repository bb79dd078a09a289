"""The ways on which a person is told that a job failed, one file each; see docs/add-an-alert.md.

What does not belong here: deciding when and whom to tell, and taking secrets out of the text (work).
"""
