"""The formats in which a panel leaves for a study, one file each; see docs/add-an-export.md. A format is found because its
file is there: `SUFFIX`, `render`, and `NEEDS` where a library of an extra is needed. Nothing is written here (export).
"""
