"""One server seen from here: an SSH connection and the agent's verbs."""

from .host import NO_AGENT, AgentError, Host, HostUnreachable, ended
from .package import build_agent, launcher

__all__ = ["NO_AGENT", "AgentError", "Host", "HostUnreachable", "build_agent", "ended", "launcher"]
