"""What a command can be told: `schema` says it in dataclasses, `compose` builds one from conf/ and overrides."""
