//! Reading what compilers say about themselves: `-###`, `-print-search-dirs`, `-v -E`.

/// One command that a driver would run.
pub(super) type Words = Vec<Vec<u8>>;

/// Takes the commands out of the answer to `-###`: lines that begin with a space and a program.
pub(super) fn commands(text: &[u8]) -> Vec<Words> {
    let lines = text.split(|&byte| byte == b'\n').filter(|line| line.starts_with(b" "));
    let commands = lines.map(words).filter(|words| words.first().is_some_and(|word| !word.starts_with(b"(")));
    commands.collect()
}

/// Splits a line of `-###` at spaces; double quotes keep them, a backslash keeps the next byte.
fn words(line: &[u8]) -> Words {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quoted = false;
    let mut bytes = line.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            b'\\' => word.get_or_insert_default().extend(bytes.next()),
            b' ' if !quoted => words.extend(word.take()),
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    words
}

/// Returns the directories of one line of the answer to `-print-search-dirs`, such as `programs`, in order, each with a slash at its end.
pub(super) fn search_directories(text: &[u8], line: &str) -> Vec<Vec<u8>> {
    let start = format!("{line}: =");
    let lines = text.split(|&byte| byte == b'\n');
    let found = lines.filter_map(|line| line.strip_prefix(start.as_bytes())).next().unwrap_or_default();
    let mut directories: Vec<Vec<u8>> = Vec::new();
    for directory in found.split(|&byte| byte == b':').filter(|directory| !directory.is_empty()) {
        let slash: &[u8] = if directory.ends_with(b"/") { b"" } else { b"/" };
        let directory = [directory, slash].concat();
        if !directories.contains(&directory) {
            directories.push(directory);
        }
    }
    directories
}

/// Returns the directories in which headers are looked for, from the answer to `-v -E`: those of `<...>`, not those that are for quoted names
/// only.
pub(super) fn header_directories(text: &[u8]) -> Vec<Vec<u8>> {
    let lines = text.split(|&byte| byte == b'\n');
    let listed = lines
        .skip_while(|line| *line != b"#include <...> search starts here:")
        .take_while(|line| !line.starts_with(b"End of search list"));
    let directories = listed.filter_map(|line| line.strip_prefix(b" "));
    directories.map(|directory| directory.trim_ascii().to_vec()).collect()
}

/// Returns directories in which headers would be looked for if they were there, from the answer to `-v -E`.
pub(super) fn absent_directories(text: &[u8]) -> Vec<Vec<u8>> {
    let lines = text.split(|&byte| byte == b'\n');
    let named = lines.filter_map(|line| line.strip_prefix(b"ignoring nonexistent directory \""));
    named.filter_map(|line| line.strip_suffix(b"\"")).map(<[u8]>::to_vec).collect()
}

/// Returns prefixes below which clang looks for installations of gcc, from the answer to `-v`: those of what it found, its own, and the
/// system's.
pub(super) fn installation_prefixes(text: &[u8]) -> Vec<Vec<u8>> {
    let mut prefixes = vec![b"/usr".to_vec()];
    for line in text.split(|&byte| byte == b'\n') {
        if let Some(directory) = line.strip_prefix(b"InstalledDir: ") {
            prefixes.push([directory, b"/.."].concat());
        }
        let found = line.strip_prefix(b"Found candidate GCC installation: ");
        // PREFIX/lib/gcc/TARGET/VERSION
        let end =
            found.and_then(|path| path.iter().enumerate().rev().filter(|(_, byte)| **byte == b'/').nth(3));
        if let (Some(path), Some((end, _))) = (found, end) {
            prefixes.push(path[..end].to_vec());
        }
    }
    prefixes.sort_unstable();
    prefixes.dedup();
    prefixes
}

/// Returns files that the driver says it has read: specs of gcc, configuration files of clang.
pub(super) fn configuration_files(text: &[u8]) -> Vec<Vec<u8>> {
    let starts: [&[u8]; 2] = [b"Reading specs from ", b"Configuration file: "];
    let lines = text.split(|&byte| byte == b'\n');
    let files = lines.filter_map(|line| starts.iter().find_map(|start| line.strip_prefix(*start)));
    files.map(|file| file.trim_ascii().to_vec()).collect()
}

/// Returns the directories in which clang looks for configuration files, from its answer to the name of one that is not there.
pub(super) fn configuration_directories(text: &[u8]) -> Vec<Vec<u8>> {
    let lines = text.split(|&byte| byte == b'\n');
    let marker: &[u8] = b"was searched for in the directory: ";
    let named = lines.filter_map(|line| Some(&line[memchr::memmem::find(line, marker)? + marker.len()..]));
    named.map(|directory| directory.trim_ascii().to_vec()).collect()
}

/// Takes those words out of a compiler proper's command that `-march=native` and its like can have put there.
pub(super) fn machine_words(command: &[Vec<u8>]) -> Words {
    let mut chosen = Words::new();
    let mut words = command.iter().skip(1);
    while let Some(word) = words.next() {
        let takes_value: [&[u8]; 5] =
            [b"--param", b"-target-cpu", b"-target-feature", b"-tune-cpu", b"-target-abi"];
        if takes_value.contains(&word.as_slice()) {
            chosen.push(word.clone());
            chosen.extend(words.next().cloned());
        } else if word.starts_with(b"-m") && !word.starts_with(b"-mllvm") && !word.starts_with(b"-main") {
            chosen.push(word.clone());
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_lines_behind_a_space_and_quotes_keep_spaces() {
        let text = b"gcc version 12\n /lib/cc1 -quiet \"a \\\"b\" -o x\\ y\n (in-process)\n as --64\nCOMPILER_PATH=/x\n";
        let expected: Vec<Vec<&[u8]>> =
            vec![vec![b"/lib/cc1", b"-quiet", b"a \"b", b"-o", b"x y"], vec![b"as", b"--64"]];
        assert_eq!(commands(text), expected);
    }

    #[test]
    fn search_directories_keep_their_order_and_lose_repetitions() {
        let text = b"install: /i/\nprograms: =/b/:/a:/b/\nlibraries: =/l/\n";
        assert_eq!(search_directories(text, "programs"), [b"/b/".as_slice(), b"/a/"]);
        assert_eq!(search_directories(text, "nothing"), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn header_directories_are_between_the_two_lines_and_serve_every_name() {
        let text = b"x\n#include \"...\" search starts here:\n /q\n#include <...> search starts here:\n /a/include\n /b\nEnd of search list.\n /no\n";
        assert_eq!(header_directories(text), [b"/a/include".as_slice(), b"/b"]);
    }

    #[test]
    fn absent_directories_and_prefixes_of_installations_are_read() {
        let text = b"InstalledDir: /opt/c/bin\nFound candidate GCC installation: /opt/g/lib/gcc/x86_64-linux-gnu/12\n\
            ignoring nonexistent directory \"/a b/include\"\nignoring duplicate directory \"/c\"\n";
        assert_eq!(absent_directories(text), [b"/a b/include".as_slice()]);
        assert_eq!(installation_prefixes(text), [b"/opt/c/bin/..".as_slice(), b"/opt/g", b"/usr"]);
    }

    #[test]
    fn machine_words_are_told_from_paths_and_names() {
        let command = [
            "cc1",
            "-main-file-name",
            "x",
            "-march=znver3",
            "--param",
            "l1-cache-size=32",
            "-mllvm",
            "-x",
            "-o",
            "/tmp/a",
        ];
        let command: Vec<Vec<u8>> = command.iter().map(|word| word.as_bytes().to_vec()).collect();
        assert_eq!(machine_words(&command), [b"-march=znver3".as_slice(), b"--param", b"l1-cache-size=32"]);
    }
}
