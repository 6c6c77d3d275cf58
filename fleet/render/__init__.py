"""From a `SiteSpec` to the GitOps tree of its cluster, and to the OCI artifact that carries it."""
