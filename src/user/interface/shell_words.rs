//! The shell's own verbs.

use super::ui::Ui;
use crate::user::crew::Trouble;

/// `quit`
pub fn bye(_: &mut Ui, _: Vec<String>) -> Result<(), Trouble> {
    Ok(())
}
