//! Both "File System" boxes of Figure 1.
