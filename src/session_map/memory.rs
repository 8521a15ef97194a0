//! What lay in the session's memory: mappings and symbols of several maps and texts added up.

use std::collections::HashMap;

use rayon::prelude::*;

use super::alignment::declared_alignment;
use super::json::{MappingEntry, SymbolEntry, Unsigned};
use super::nm::ListedSymbol;
use super::origins::{Origin, SymbolOrigins, check_name, check_range};
use super::{Mapping, NamedAddress, SessionMap, Symbols, loaded};
use crate::error::Error;

pub(super) fn mapping(entry: MappingEntry) -> Result<Mapping, String> {
    let (start, end) = (entry.start.0, entry.end.0);
    check_range(start, Some(end), "the mapping")?;
    if let Some(perms) = entry.perms.as_deref().filter(|perms| !super::is_perms(perms)) {
        return Err(format!("perms: expected permissions as in \"r-xp\", found {perms:?}"));
    }
    let is_hexadecimal = |id: &String| !id.is_empty() && id.bytes().all(|b| b.is_ascii_hexdigit());
    if let Some(id) = entry.build_id.as_ref().filter(|id| !is_hexadecimal(id)) {
        return Err(format!("build_id: expected hexadecimal digits, found {:?}", super::excerpt(id)));
    }
    Ok(Mapping {
        range: start..end,
        offset: entry.offset.0,
        perms: entry.perms,
        path: entry.path.filter(|path| !path.is_empty()),
        build_id: entry.build_id.map(|id| id.to_ascii_lowercase()),
    })
}

pub(super) fn symbol(entry: &SymbolEntry) -> Result<NamedAddress<'_>, String> {
    let SymbolEntry { address, ref name, size, ref library, align } = *entry;
    check_name("name", name)?;
    if let Some(library) = library {
        check_name("library", library)?;
    }
    let align = address_and_alignment(address.0, size.0, align)?;
    Ok(NamedAddress { address: address.0, name, size: size.0, library: library.as_deref(), align })
}

/// The alignment of a symbol that may lie there.
#[inline(always)]
pub(super) fn address_and_alignment(address: u64, size: u64, align: Option<Unsigned>) -> Result<u64, String> {
    check_range(address, address.checked_add(size.max(1)), "the symbol")?;
    declared_alignment(align, address)
}

/// Whether two things that both may know something know the same.
fn agree<T: PartialEq>(one: Option<&T>, other: Option<&T>) -> bool {
    one.is_none() || other.is_none() || one == other
}

/// The union of two mappings that overlap, if they can be parts of one. What one does not say the other may.
fn joined(first: &Mapping, second: &Mapping) -> Option<Mapping> {
    let same_range = first.range == second.range;
    let same_path =
        first.path == second.path || (same_range && agree(first.path.as_ref(), second.path.as_ref()));
    let is_file = |m: &Mapping| m.path.as_deref().is_some_and(|path| !path.starts_with('['));
    let distance = |m: &Mapping| m.range.start.wrapping_sub(m.offset);
    let same_file = !is_file(first) || !is_file(second) || distance(first) == distance(second);
    // The fourth letter, private or shared, is not always given.
    let letters = |m: &Mapping| m.perms.as_ref().and_then(|perms| perms.get(..3)).map(str::to_owned);
    let same_perms = agree(letters(first).as_ref(), letters(second).as_ref());
    let same_id = agree(first.build_id.as_ref(), second.build_id.as_ref());
    (same_path && same_file && same_perms && same_id).then(|| Mapping {
        range: first.range.start..first.range.end.max(second.range.end),
        offset: if is_file(first) { first.offset } else { second.offset },
        perms: first.perms.clone().or_else(|| second.perms.clone()),
        path: first.path.clone().or_else(|| second.path.clone()),
        build_id: first.build_id.clone().or_else(|| second.build_id.clone()),
    })
}

impl SessionMap {
    /// Adds a text's mappings, given with their lines.
    pub(super) fn merge_mappings(
        &mut self,
        name: &str,
        mappings: Vec<(usize, Mapping)>,
    ) -> Result<(), Error> {
        let source = self.add_source(name);
        let mut added = Vec::new();
        for (line, mapping) in mappings {
            let origin = Origin::line(source, line);
            let range = check_range(mapping.range.start, Some(mapping.range.end), "the mapping");
            range.map_err(|message| self.origins.error(origin, message))?;
            added.push((mapping, origin));
        }
        self.add_mappings(added)?;
        self.rebuild_index();
        Ok(())
    }

    /// Adds a text's symbols.
    pub(super) fn merge_listed_symbols(
        &mut self,
        name: &str,
        listed: Vec<ListedSymbol>,
    ) -> Result<(), Error> {
        let source = self.add_source(name);
        let mut added = Symbols::default();
        let mut origins = Vec::new();
        let mut unbound = Vec::new();
        for ListedSymbol { line, symbol, private } in listed {
            let origin = Origin::line(source, line);
            let range =
                check_range(symbol.address, symbol.address.checked_add(symbol.size.max(1)), "the symbol");
            range.map_err(|message| self.origins.error(origin, message))?;
            match private {
                Some(why) => unbound.push((symbol, why)),
                None => {
                    added.push(symbol.view()).map_err(|message| self.origins.error(origin, message))?;
                    origins.push(origin);
                }
            }
        }
        self.add_symbols_from(vec![(added, SymbolOrigins::Each(origins))])?;
        self.unbound.append(&mut unbound);
        self.unbound
            .sort_by(|(a, _), (b, _)| (a.address, &a.name, a.size).cmp(&(b.address, &b.name, b.size)));
        self.unbound.dedup();
        self.rebuild_index();
        Ok(())
    }

    fn add_source(&mut self, name: &str) -> u32 {
        self.origins.sources.push(name.to_owned());
        self.origins.sources.len() as u32 - 1
    }

    pub(super) fn add_mappings(&mut self, added: Vec<(Mapping, Origin)>) -> Result<(), Error> {
        // They begin and end while the process is looked at, inside of what others see as one mapping.
        let (threads, added): (Vec<_>, Vec<_>) = added.into_iter().partition(|(m, _)| loaded::is_threads(m));
        self.threads.extend(threads.into_iter().map(|(mapping, _)| mapping));
        self.threads.sort_by(|a, b| {
            (a.range.start, a.range.end, &a.path).cmp(&(b.range.start, b.range.end, &b.path))
        });
        self.threads.dedup();
        let present = self.mappings.iter().cloned().zip(self.origins.mappings.iter().copied());
        let mut all: Vec<(Mapping, Origin)> = present.chain(added).collect();
        all.sort_by_key(|(mapping, origin)| (mapping.range.start, mapping.range.end, *origin));
        let mut merged: Vec<(Mapping, Origin)> = Vec::with_capacity(all.len());
        for (mapping, origin) in all {
            let Some((last, last_origin)) =
                merged.last_mut().filter(|(last, _)| mapping.range.start < last.range.end)
            else {
                merged.push((mapping, origin));
                continue;
            };
            let conflict =
                || self.origins.conflict(origin, *last_origin, "the mapping overlaps and contradicts");
            *last = joined(last, &mapping).ok_or_else(conflict)?;
        }
        let mut build_ids: HashMap<&str, (&str, Origin)> = HashMap::new();
        for (mapping, origin) in &merged {
            let (Some(path), Some(id)) = (&mapping.path, &mapping.build_id) else {
                continue;
            };
            let (first, first_origin) = *build_ids.entry(path).or_insert((id, *origin));
            if first != id {
                return Err(self.origins.conflict(
                    *origin,
                    first_origin,
                    "build_id: is another than the same file's in",
                ));
            }
        }
        (self.mappings, self.origins.mappings) = merged.into_iter().unzip();
        Ok(())
    }

    pub(super) fn add_symbols_from(&mut self, mut added: Vec<(Symbols, SymbolOrigins)>) -> Result<(), Error> {
        added.retain(|(symbols, _)| !symbols.is_empty());
        if self.symbols.is_empty()
            && added.len() < 2
            && added.iter().all(|(symbols, _)| symbols.is_ascending())
        {
            (self.symbols, self.origins.symbols) = added.pop().unwrap_or_default();
            return Ok(());
        }
        let present = [(&self.symbols, &self.origins.symbols)].into_iter();
        let lists: Vec<_> =
            present.chain(added.iter().map(|(symbols, origins)| (symbols, origins))).collect();
        (self.symbols, self.origins.symbols) = self.merged_symbols(&lists)?;
        Ok(())
    }

    /// Several lists as one: in SPEC 5's order among aliases (all are exported and global as far as the map tells), and each
    /// symbol once.
    fn merged_symbols(
        &self,
        lists: &[(&Symbols, &SymbolOrigins)],
    ) -> Result<(Symbols, SymbolOrigins), Error> {
        let number = |(list, (symbols, _)): (usize, &(&Symbols, _))| {
            symbols
                .ranges()
                .enumerate()
                .map(move |(index, range)| (range.start, list, index))
                .collect::<Vec<_>>()
        };
        let mut order: Vec<(u64, usize, usize)> = lists.iter().enumerate().flat_map(number).collect();
        let written = |list: usize, index: usize| {
            let (symbols, origins) = lists[list];
            (symbols.get(index), origins.of(index))
        };
        // Lists are mostly in order, one behind the other: a stable sort merges what is.
        order.par_sort_by(|&(a_address, a_list, a), &(b_address, b_list, b)| {
            a_address.cmp(&b_address).then_with(|| {
                let (a, a_origin) = written(a_list, a);
                let (b, b_origin) = written(b_list, b);
                let key = |s: &NamedAddress<'_>| (s.name.starts_with('_'), s.name.len());
                (key(&a), a.name, a_origin).cmp(&(key(&b), b.name, b_origin))
            })
        });
        let mut merged: Vec<(NamedAddress<'_>, Origin)> = Vec::with_capacity(order.len());
        for (_, list, index) in order {
            let (symbol, origin) = written(list, index);
            let same = |last: &NamedAddress<'_>| (last.address, last.name) == (symbol.address, symbol.name);
            let Some((last, last_origin)) = merged.last_mut().filter(|(last, _)| same(last)) else {
                merged.push((symbol, origin));
                continue;
            };
            let sizes = last.size == 0 || symbol.size == 0 || last.size == symbol.size;
            if !sizes || !agree(last.library.as_ref(), symbol.library.as_ref()) {
                let what =
                    if sizes { "library: is another than that of" } else { "size: is another than that of" };
                return Err(self.origins.conflict(origin, *last_origin, what));
            }
            last.size = last.size.max(symbol.size);
            last.align = last.align.max(symbol.align);
            last.library = last.library.or(symbol.library);
        }
        let mut symbols = Symbols::with_capacity(merged.len(), 0);
        let mut origins = Vec::with_capacity(merged.len());
        for (symbol, origin) in merged {
            symbols.push(symbol).map_err(|message| self.origins.error(origin, message))?;
            origins.push(origin);
        }
        Ok((symbols, SymbolOrigins::Each(origins)))
    }
}
