"""Runs in the sandbox only: removes tags of place, time and device from a file, without decoding or encoding anything.

`run` is what the fork server calls. Films and sound are changed where they lie: a tag becomes empty space of the same
length, so that no offset changes and every packet stays what it is. Images are written anew without the parts that hold
tags. What a format needs to be shown stays: orientation, rotation, colour profile, edit lists, timing.

Each module lists what it keeps; everything else goes, also what no specification names.
"""
