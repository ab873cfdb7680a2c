"""Other systems' files and protocols, one folder each: translated to and from records, no more."""
