//! The nouns of Muster as values that cannot be built wrong
