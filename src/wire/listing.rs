//! One directory entry as bytes.

/// What an entry of a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Link,
    /// A named pipe.
    Fifo,
    /// A local socket.
    Socket,
    /// A character device.
    Char,
    /// A block device.
    Block,
}
