"""Programs of every day on the mount: all is as on a local disk, also after a remount."""

import mmap
import os
import random
import shutil
import stat
import subprocess

import pytest

ENVIRONMENT = {
    **os.environ,
    "LC_ALL": "C",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.com",
}


def sh(script, folder, **more):
    done = subprocess.run(
        ["sh", "-eu", "-c", script],
        cwd=folder,
        env={**ENVIRONMENT, **{n: str(v) for n, v in more.items()}},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        text=True,
        errors="replace",
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def tree(root, times=True, directory_times=False):
    """{path: what it is}; of a symlink its target, of a file its bytes, mode and time."""
    found = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = os.path.join(folder, name)
            st = os.lstat(path)
            what = [stat.S_IFMT(st.st_mode), st.st_uid, st.st_gid]
            if stat.S_ISLNK(st.st_mode):
                what.append(os.readlink(path))
            else:
                what.append(stat.S_IMODE(st.st_mode))
            if stat.S_ISREG(st.st_mode):
                with open(path, "rb") as file:
                    what.append(file.read())
            if times and (directory_times or not stat.S_ISDIR(st.st_mode)):
                what.append(st.st_mtime_ns)
            found[os.path.relpath(path, root)] = tuple(what)
    return found


def assert_same(got, wanted):
    assert sorted(got) == sorted(wanted)
    for path, what in wanted.items():
        short = [w if not isinstance(w, bytes) or len(w) < 80 else w[:80] for w in what]
        assert got[path] == what, f"{path}: wanted {short}"


def bucket_of(wanted):
    """The keys and bytes that a tree() should be in the bucket."""
    objects = {}
    for path, what in wanted.items():
        if stat.S_ISDIR(what[0]):
            objects[path + "/"] = b""
        else:
            objects[path] = what[4] if stat.S_ISREG(what[0]) else os.fsencode(what[3])
    return objects


def assert_everywhere(mount, bucket, wanted, times=True, directory_times=False):
    """The mount, the mount after a remount, and the bucket are what they should be."""
    assert_same(tree(mount.path, times, directory_times), wanted)
    mount.umount()
    assert {key: bucket.get(key) for key in bucket.keys()} == bucket_of(wanted)
    assert bucket.uploads() == []
    mount.start()
    assert_same(tree(mount.path, times, directory_times), wanted)


def make_tree(root):
    """Files, modes, times, links, empty folders, odd names."""
    source = random.Random(7)
    folders = [root]
    root.mkdir(exist_ok=True)
    for number in range(6):
        folder = source.choice(folders) / f"folder {number}"
        folder.mkdir()
        folders.append(folder)
    for number in range(60):
        path = source.choice(folders) / source.choice((f"f{number}", f"ü {number}%+", f".{number}"))
        path.write_bytes(source.randbytes(source.choice((0, 1, 4096, 30_000, 200_000))))
        path.chmod(source.choice((0o644, 0o600, 0o755, 0o4755, 0o400)))
        os.utime(path, ns=(10**18 + number, 10**18 + 1000 * number + 1))
    for number in range(6):
        link = source.choice(folders) / f"link {number}"
        link.symlink_to(source.choice(("f1", "../no", "/etc")))
        os.utime(link, ns=(10**18, 10**18 + number), follow_symlinks=False)
    for folder in sorted(folders[1:], reverse=True):
        os.utime(folder, ns=(10**18, 10**18 + len(str(folder))))


@pytest.fixture
def local(folder):
    made = folder / "local"
    made.mkdir()
    return made


@pytest.fixture
def mount(make_mount):
    return make_mount(attr_timeout="1s", part_size="100K").start()


def in_both(script, mount, local, **more):
    """The same commands on the mount and on a local disk."""
    for where in (local, mount.path):
        sh(script, where, **more)


# -- archives and copies --


def test_tar(mount, local, bucket, folder):
    make_tree(folder / "tree")
    sh("tar -cf $OUT .", folder / "tree", OUT=folder / "a.tar")
    in_both("tar -xpf $IN", mount, local, IN=folder / "a.tar")
    sh("tar -cf - . | tar -tvf - >/dev/null", mount.path)
    in_both("tar -cf self.tar --sort=name --mtime=@0 'folder 0' && touch -d @1 self.tar", mount, local)
    assert_everywhere(mount, bucket, tree(local, directory_times=False))


def test_rsync_twice_sends_nothing(mount, server, bucket, folder):
    make_tree(folder / "tree")
    command = 'rsync -aX --itemize-changes "$TREE/" ./'
    assert sh(command, mount.path, TREE=folder / "tree") != ""
    mount.sync()
    server.clear_log()
    assert sh(command, mount.path, TREE=folder / "tree") == ""
    mount.sync()
    assert server.requests("PutObject", "CopyObject", "DeleteMultipleObjects") == []
    assert_everywhere(mount, bucket, tree(folder / "tree", directory_times=True), directory_times=True)


def test_rsync_changes_in_every_way(mount, local, bucket, folder):
    source = folder / "tree"
    make_tree(source)
    script = """
        rsync -a "$TREE/" ./
        cd "$TREE"; find . -type f -name 'f1*' -exec sh -c 'echo more >>"$1"; touch -d @5 "$1"' - {} \\;
        rm -rf 'folder 1'; cd - >/dev/null
        rsync -a --inplace --no-whole-file --delete "$TREE/" ./
    """
    sh(script, mount.path, TREE=source)
    sh('rsync -a "$TREE/" ./', local, TREE=source)
    assert_everywhere(mount, bucket, tree(local))


def test_cp_preserves_all(mount, local, bucket, folder):
    make_tree(folder / "tree")
    named = folder / "tree/named"
    named.write_bytes(b"named")
    os.setxattr(named, "user.colour", b"r\0d")
    in_both('cp -a --preserve=all "$TREE" one && cp -a --preserve=all one two', mount, local,
            TREE=folder / "tree")  # fmt: skip
    assert_everywhere(mount, bucket, tree(local))
    for copy in ("one", "two"):
        assert os.getxattr(mount.path / copy / "named", "user.colour") == b"r\0d"


def test_shutil_copytree(mount, bucket, folder):
    make_tree(folder / "tree")
    shutil.copytree(folder / "tree", mount.path / "copy", symlinks=True)
    shutil.copytree(mount.path / "copy", mount.path / "again", symlinks=True)
    wanted = {}
    for name in ("copy", "again"):
        wanted[name] = (stat.S_IFDIR, os.getuid(), os.getgid(), 0o755)
        os.chmod(mount.path / name, 0o755)
        wanted |= {f"{name}/{path}": what for path, what in tree(folder / "tree").items()}
    assert_everywhere(mount, bucket, wanted)


def test_walkers_see_the_same(mount, local, folder):
    make_tree(folder / "tree")
    in_both('cp -a "$TREE/." .', mount, local, TREE=folder / "tree")
    for script in (
        "find . | sort",
        "find . -type f -size +10k -newermt @1 | sort",
        "find . -type l -printf '%p %l\\n' | sort",
        "find . -type f -printf '%p %s %m %T@\\n' | sort",
        "du -ab --apparent-size . | grep -v '\t.*folder [0-9]*$' | grep -v '\t.$' | sort",
        "ls -lRA --time-style=full-iso | grep -v '^[td]'",
        "find . -type f -print0 | sort -z | xargs -0 sha256sum",
        "grep -rlc a . | sort",
    ):
        assert sh(script, mount.path) == sh(script, local), script
        mount.sync()
    mount.remount()
    assert sh("find . -printf '%p %y %m\\n' | sort", mount.path) == sh(
        "find . -printf '%p %y %m\\n' | sort", local
    )


# -- editors and small tools --


def test_editors(mount, server, bucket):
    root = mount.path
    for name in ("sed", "ex", "vim", "dd", "perl", "tee", "trunc"):
        (root / name).write_text("".join(f"line {n}\n" for n in range(2000)))
        os.chmod(root / name, 0o750)
    mount.sync()
    server.clear_log()
    sh("sed -i 's/line 7$/changed/' sed", root)
    sh("ex -s -c '8s/line/changed/' -c 'wq' ex || true; vim -es -u NONE -c '8s/line/changed/' -c wq vim", root)
    sh("printf XYZ | dd of=dd bs=1 seek=100 conv=notrunc status=none", root)
    sh("perl -pi -e 's/line 7$/changed/' perl", root)
    sh("echo more | tee -a tee >/dev/null; truncate -s 50 trunc; truncate -s +10 trunc", root)
    mount.sync()
    puts = [entry["key"] for entry in server.requests("PutObject")]
    assert len(puts) == len(set(puts)), "one PUT a file"
    assert server.requests("CopyObject", "UploadPart") == []
    text = "".join(f"line {n}\n" for n in range(2000))
    changed = text.replace("line 7\n", "changed\n")
    wanted = {
        "sed": changed,
        "perl": changed,
        "ex": text.replace("line 7\n", "changed 7\n"),
        "vim": text.replace("line 7\n", "changed 7\n"),
        "dd": text[:100] + "XYZ" + text[103:],
        "tee": text + "more\n",
        "trunc": text[:50] + "\0" * 10,
    }
    assert sorted(os.listdir(root)) == sorted(wanted)
    mount.remount()
    for name, content in wanted.items():
        assert (root / name).read_text() == content, name
        assert bucket.get(name) == content.encode(), name
        assert stat.S_IMODE((root / name).stat().st_mode) == 0o750
    assert bucket.keys() == sorted(wanted)


def test_log_of_a_hundred_short_lives_is_one_upload(make_mount, server, bucket):
    mount = make_mount(settle="1h").start()
    server.clear_log()
    for number in range(100):
        with open(mount.path / "log", "a", encoding="utf-8") as log:
            log.write(f"line {number}\n")
    mount.sync()
    assert len(server.requests("PutObject", key="log")) == 1
    assert bucket.get("log") == b"".join(b"line %d\n" % n for n in range(100))


def test_moves_and_removals(mount, local, bucket, folder):
    make_tree(folder / "tree")
    prepare = 'cp -a "$TREE" up && cp -a "$TREE" gone'
    in_both(prepare, mount, local, TREE=folder / "tree")
    mount.sync()
    in_both(
        """
        cp -a "$TREE/." up/late
        mv up there; mkdir up; touch -d @9 up/new; mv there up/
        mv up/there/late .; mv late/* up/; mv late/.[!.]* up/ || true
        rm -rf gone late up/there/f1*
        cp -a "$TREE" gone; rm -rf gone
        """,
        mount,
        local,
        TREE=folder / "tree",
    )
    assert_everywhere(mount, bucket, tree(local))
    sh("rm -rf ./*", mount.path)
    mount.sync()
    assert bucket.keys() == []


# -- programs with files of their own --


def test_sqlite(mount, bucket, folder):
    script = """
        sqlite3 base.db '
            create table t(id integer primary key, text);
            create index i on t(text);
            begin; with recursive n(x) as (select 1 union all select x+1 from n where x<5000)
                insert into t select x, hex(randomblob(20)) from n; commit;'
        for round in 1 2 3 4 5 6 7 8 9 10; do
            sqlite3 base.db "update t set text='$round ' || text where id % 10 = $round % 10;"
            sqlite3 base.db "begin; delete from t; rollback;"
        done
        sqlite3 base.db 'vacuum'
    """
    sh(script, mount.path)
    assert os.listdir(mount.path) == ["base.db"]
    assert sh("sqlite3 base.db 'pragma integrity_check; select count(*) from t'", mount.path) == "ok\n5000\n"
    dump = sh("sqlite3 base.db .dump", mount.path)
    mount.kill9()
    mount.start()
    assert sh("sqlite3 base.db .dump", mount.path) == dump
    mount.sync()
    (folder / "copy.db").write_bytes(bucket.get("base.db"))
    assert bucket.keys() == ["base.db"]
    assert sh("sqlite3 copy.db .dump", folder) == dump


def test_git(mount, local, bucket, folder):
    make_tree(folder / "tree")
    script = """
        git init -q -b main repo; cd repo; git config gc.auto 0
        cp -a "$TREE/." .; git add -A; git commit -qm one
        for n in 1 2 3 4 5; do echo $n >> log; git add log; git commit -qm "commit $n"; done
        git checkout -qb side HEAD~3; echo side > side; git add side; git commit -qm side
        git checkout -q main; git merge -q -m merge side
        git rebase -q HEAD~2 2>/dev/null || git rebase --abort
        git gc -q; git fsck --full --strict; cd ..
        git clone -q repo clone; git clone -q --no-hardlinks --bare repo bare.git
        cd clone; echo x > pushed; git add pushed; git commit -qm pushed
        git push -q ../bare.git HEAD:main; git stash list; git status --porcelain
    """
    said = sh(script, mount.path, TREE=folder / "tree")
    assert "error" not in said and "fatal" not in said, said
    head = sh("git -C clone rev-parse HEAD", mount.path)
    files = tree(mount.path)
    mount.remount()
    assert_same(tree(mount.path), files)
    for repository in ("repo", "clone", "bare.git"):
        sh(f"git -C {repository} fsck --full --strict", mount.path)
    assert sh("git -C clone status --porcelain", mount.path) == ""
    assert sh("git -C bare.git rev-parse main", mount.path) == head
    assert {k: bucket.get(k) for k in bucket.keys()} == bucket_of(files)


def test_build_of_a_project(mount):
    sh(
        """
        mkdir src obj
        for n in 1 2 3 4 5 6; do
            echo "int f$n(void); int f$n(void) { return $n; }" > src/f$n.c
        done
        echo '#include <stdio.h>' > src/main.c
        for n in 1 2 3 4 5 6; do echo "int f$n(void);" >> src/main.c; done
        echo 'int main(void) { printf("%d", f1()+f2()+f3()+f4()+f5()+f6()); return 0; }' >> src/main.c
        for n in src/*.c; do gcc -g -c $n -o obj/$(basename $n .c).o; done
        ar rcs obj/libf.a obj/f*.o; gcc -o program obj/main.o -Lobj -lf
        gcc -shared -fPIC -o obj/libf.so src/f*.c
        strip -o stripped program
        """,
        mount.path,
    )
    for _ in range(2):
        for program in ("./program", "./stripped"):
            assert sh(program, mount.path) == "21"
        mount.remount()


def test_mapped_files(mount, bucket):
    path = mount.path / "mapped"
    size = 300_000
    data = bytearray(random.Random(1).randbytes(size))
    path.write_bytes(data)
    mount.sync()
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), size) as shared:
        with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY) as private:
            private[0:5] = b"never"
        for at in range(0, size, 50_000):
            shared[at : at + 7] = b"written"
            data[at : at + 7] = b"written"
        assert path.read_bytes() == data
        file.seek(100)
        file.write(b"by write")
        file.flush()
        data[100:108] = b"by write"
        assert shared[100:108] == b"by write"
    # The mapping outlives the descriptor.
    fd = os.open(path, os.O_RDWR)
    late = mmap.mmap(fd, size)
    os.close(fd)
    late[5:9] = b"late"
    data[5:9] = b"late"
    late.close()
    mount.remount()
    assert path.read_bytes() == data
    assert bucket.get("mapped") == data


def test_copy_within_the_mount(mount, server, bucket):
    data = random.Random(2).randbytes(3_000_000)
    (mount.path / "big").write_bytes(data)
    mount.sync()
    server.clear_log()
    sh("cp big copy; cp copy third; cat big > fourth; cmp big fourth", mount.path)
    mount.sync()
    sent = sum(entry["bytes_in"] for entry in server.requests("PutObject", "UploadPart", key="copy"))
    assert sent == 0, "a copy sends no data"
    for name in ("copy", "third", "fourth"):
        assert bucket.get(name) == data
    sh("printf x >> copy; printf y | dd of=third bs=1 seek=5 conv=notrunc status=none", mount.path)
    sh("rm big", mount.path)
    mount.remount()
    assert (mount.path / "copy").read_bytes() == data + b"x"
    assert bucket.get("third") == data[:5] + b"y" + data[6:]
    assert (mount.path / "fourth").read_bytes() == data
