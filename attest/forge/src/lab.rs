//! A pretended host of the lab: files as the kernel's, and a software TPM whose PCRs follow them.
