"""One server seen from here: an SSH connection and the agent's verbs."""

from .host import NO_AGENT, AgentError, Host, HostUnreachable, ended
from .package import agent_digest, build_agent, launcher

__all__ = ["NO_AGENT", "AgentError", "Host", "HostUnreachable", "agent_digest", "build_agent", "ended", "launcher"]
