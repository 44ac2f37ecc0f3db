from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Risk(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RISK_UNSPECIFIED: _ClassVar[Risk]
    RISK_READ: _ClassVar[Risk]
    RISK_LOW: _ClassVar[Risk]
    RISK_MEDIUM: _ClassVar[Risk]
    RISK_HIGH: _ClassVar[Risk]

class Autonomy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AUTONOMY_UNSPECIFIED: _ClassVar[Autonomy]
    AUTONOMY_MANUAL: _ClassVar[Autonomy]
    AUTONOMY_SUPERVISED: _ClassVar[Autonomy]
    AUTONOMY_FULL: _ClassVar[Autonomy]
RISK_UNSPECIFIED: Risk
RISK_READ: Risk
RISK_LOW: Risk
RISK_MEDIUM: Risk
RISK_HIGH: Risk
AUTONOMY_UNSPECIFIED: Autonomy
AUTONOMY_MANUAL: Autonomy
AUTONOMY_SUPERVISED: Autonomy
AUTONOMY_FULL: Autonomy

class Error(_message.Message):
    __slots__ = ("code", "message", "next_step")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    NEXT_STEP_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    next_step: str
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., next_step: _Optional[str] = ...) -> None: ...

class PersonProof(_message.Message):
    __slots__ = ("key", "session")
    KEY_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    key: KeyProof
    session: SessionProof
    def __init__(self, key: _Optional[_Union[KeyProof, _Mapping]] = ..., session: _Optional[_Union[SessionProof, _Mapping]] = ...) -> None: ...

class KeyProof(_message.Message):
    __slots__ = ("public_key", "signature", "signed_at_ms", "nonce")
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    SIGNED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    public_key: bytes
    signature: bytes
    signed_at_ms: int
    nonce: bytes
    def __init__(self, public_key: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., signed_at_ms: _Optional[int] = ..., nonce: _Optional[bytes] = ...) -> None: ...

class SessionProof(_message.Message):
    __slots__ = ("secret",)
    SECRET_FIELD_NUMBER: _ClassVar[int]
    secret: bytes
    def __init__(self, secret: _Optional[bytes] = ...) -> None: ...

class Identity(_message.Message):
    __slots__ = ("path", "dev", "ino", "kind")
    PATH_FIELD_NUMBER: _ClassVar[int]
    DEV_FIELD_NUMBER: _ClassVar[int]
    INO_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    path: str
    dev: int
    ino: int
    kind: str
    def __init__(self, path: _Optional[str] = ..., dev: _Optional[int] = ..., ino: _Optional[int] = ..., kind: _Optional[str] = ...) -> None: ...

class Usage(_message.Message):
    __slots__ = ("rss_bytes", "cpu_ms")
    RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    CPU_MS_FIELD_NUMBER: _ClassVar[int]
    rss_bytes: int
    cpu_ms: int
    def __init__(self, rss_bytes: _Optional[int] = ..., cpu_ms: _Optional[int] = ...) -> None: ...
