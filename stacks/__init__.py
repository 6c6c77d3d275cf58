"""The Pulumi program: one component resource a concept."""
