//! The package tools through pipeline and worker, with real apt and dpkg on a throwaway root.

mod bed;
mod changes;
mod crashes;
mod reads;
mod refusals;

use bed::{Bed, Deb};

/// Enables a service as deb-systemd-helper does.
const ENABLE: &str = "mkdir -p \"$DPKG_ROOT/etc/systemd/system/multi-user.target.wants\" \"$DPKG_ROOT/etc/rc2.d\"\n\
    ln -sf /lib/systemd/system/web.service \"$DPKG_ROOT/etc/systemd/system/multi-user.target.wants/web.service\"\n\
    ln -sf ../init.d/web \"$DPKG_ROOT/etc/rc2.d/S01web\"";
/// And takes it back.
const DISABLE: &str = "rm -f \"$DPKG_ROOT/etc/systemd/system/multi-user.target.wants/web.service\" \"$DPKG_ROOT/etc/rc2.d/S01web\"";

/// A web server with a library, a configuration file and a service, in two versions.
fn web(bed: &Bed) {
    bed.publish("libweb", "1.0", &Deb::default());
    web_version(
        bed,
        "1.0",
        "port 80\n",
        "Depends: libweb\nHomepage: http://example.org\n",
    );
}

fn web_version(bed: &Bed, version: &str, conf: &str, control: &str) {
    bed.publish(
        "web",
        version,
        &Deb {
            control,
            files: &[
                ("/etc/web/web.conf", conf),
                ("/lib/systemd/system/web.service", "[Service]\n"),
                ("/usr/share/web/index", version),
            ],
            scripts: &[("postinst", ENABLE), ("postrm", DISABLE)],
        },
    );
}
