//! Where the file of an address without a name was loaded, so that the same place can be found in another process
//! by the file's build-id. What may be one of two places, or another build, has none.

use super::expression::Anchor;
use super::image::Image;
use super::loaded;
use super::{Files, SessionMap};

impl SessionMap {
    /// The place of an address in the file at `path`; `image` is the file and the address as it counts, if it can be
    /// read.
    ///
    /// # Errors
    /// Why it could not be found again.
    pub(super) fn anchor(
        &self,
        constant: u64,
        path: &str,
        image: Option<(&Image, u64)>,
    ) -> Result<Anchor, String> {
        let Some(build_id) = self.build_id_of(path) else {
            return Err(format!("the session map gives no build_id for {path}"));
        };
        if !build_id.len().is_multiple_of(2) {
            return Err(format!("the build_id {build_id} is no row of bytes"));
        }
        if let Some(other) = self.mappings.iter().find(|m| {
            m.build_id.as_deref() == Some(build_id) && m.path.as_deref() != Some(path) && loaded::may_run(m)
        }) {
            let other = other.path.as_deref().unwrap_or("another mapping");
            return Err(format!("{path} and {other} have the same build-id"));
        }
        let base = self.load_address(path, image.map(|(image, _)| image))?;
        let here = match image {
            Some((image, address)) => constant.wrapping_sub(address).wrapping_add(image.first_page()) == base,
            None => self.is_contiguous(base, constant, path),
        };
        if !here {
            return Err(format!(
                "it is not in the part of memory, from {base:#x} on, in which {path} was loaded"
            ));
        }
        let library = image.and_then(|(image, _)| image.library(path));
        let file = library.unwrap_or_else(|| loaded::file_name(path).to_owned());
        Ok(Anchor { file, build_id: build_id.to_owned(), offset: constant - base })
    }

    /// The session's address of an anchor, for verification: the inverse of what [`Self::meaning`] says.
    pub fn address_of_anchor(&self, anchor: &Anchor, files: &dyn Files) -> Option<u64> {
        let id = Some(anchor.build_id.as_str());
        let path = self.mappings.iter().find(|m| m.build_id.as_deref() == id)?.path.as_deref()?;
        let image = self.image(path, files).ok().flatten();
        let base = self.load_address(path, image.as_deref()).ok()?;
        Some(base.wrapping_add(anchor.offset))
    }

    /// The lowest address at which the file was loaded.
    fn load_address(&self, path: &str, image: Option<&Image>) -> Result<u64, String> {
        let mut bases: Vec<u64> = match image {
            Some(image) => {
                let biases = self.biases(path, image).into_iter();
                biases.map(|bias| bias.wrapping_add(image.first_page())).collect()
            }
            None => {
                let starts =
                    self.mappings.iter().filter(|m| m.path.as_deref() == Some(path) && m.offset == 0);
                starts.map(|m| m.range.start).collect()
            }
        };
        bases.sort_unstable();
        bases.dedup();
        match bases[..] {
            [base] => Ok(base),
            [one, other, ..] => Err(format!("{path} was loaded at {one:#x} and at {other:#x}")),
            [] if image.is_some() => Err(format!("{path} was not loaded as its program headers say")),
            [] => Err(format!(
                "{path} cannot be read as it was, and the session map does not have all of its mappings"
            )),
        }
    }

    /// Whether nothing but that file is mapped from `base` to an address: then it is one load of the file.
    fn is_contiguous(&self, base: u64, address: u64, path: &str) -> bool {
        let from = self.mappings.partition_point(|m| m.range.start < base);
        let mut end = base;
        for mapping in self.mappings[from..].iter().take_while(|m| m.range.start <= address) {
            // The dynamic linker fills gaps with what nobody may touch.
            let filler =
                mapping.path.is_none() && mapping.perms.as_deref().is_some_and(|p| p.starts_with("---"));
            let of_file = mapping.path.as_deref() == Some(path);
            if mapping.range.start != end || !(filler || of_file) {
                return false;
            }
            end = mapping.range.end;
        }
        address >= base && address < end
    }
}
