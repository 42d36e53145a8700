"""The nouns and rules that every room shares: standard library, pydantic and numpy only."""
