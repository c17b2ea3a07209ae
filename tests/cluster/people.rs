//! The same for people to look around in.

use std::io;

use crate::installation::Installation;

#[test]
#[ignore = "it waits for somebody to press enter: make cluster"]
fn for_people() {
    let mut installation = Installation::new(&[]);
    installation.add(&["--settle=1s"]);
    let kubeconfig = installation.plane.kubeconfig();
    println!("\nexport KUBECONFIG={}\n", kubeconfig.display());
    println!(
        "There are no nodes, so pods are admitted and do not run. Press enter to take it down."
    );
    io::stdin().read_line(&mut String::new()).expect("a line, or the end");
}
