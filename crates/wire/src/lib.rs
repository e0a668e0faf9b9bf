//! Azure's textual forms of the nouns
