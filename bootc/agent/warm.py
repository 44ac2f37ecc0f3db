"""Imports what an agent imports, so that its byte code is part of the image."""

import asyncio  # noqa: F401

import aios_agents  # noqa: F401
import google.protobuf  # noqa: F401
import grpc.aio  # noqa: F401
