//! Samples of the control plane's words and of enrolment.

use super::{Sample, cluster, directory, key, label, namespace, node, sample, signed_layout};
use dccache_protocol::control::{
    Action, AddressRange, Command, Founding, Grant, Issuer, Order, Outcome, Refusal, RevocationList, Revoked,
    Root, RootAction, RootOrder, Signed, Subject,
};
use dccache_protocol::digest::Digest;
use dccache_protocol::enrol::{Admission, Applicant, Challenge, ChallengeAnswer, EnrolAnswer, EnrolRequest};
use dccache_protocol::ids::Epoch;
use dccache_protocol::signing::Purpose;
use dccache_protocol::time::UnixMillis;
use dccache_protocol::token::TokenId;

fn grant() -> Signed<Grant> {
    let range = AddressRange { network: "10.0.0.0".parse().expect("an address"), prefix: 8 };
    let subject = Subject::Node { zone: label("office"), largest_weight: 200, ranges: vec![range] };
    let grant = Grant {
        cluster: cluster(),
        token: TokenId([9; 16]),
        expires: UnixMillis(1_800_000_000_000),
        subject,
    };
    Signed::new(grant, &key())
}

fn order() -> Signed<Order> {
    let action = Action::RegisterSigner(directory().signers[0].clone());
    Signed::new(Order { cluster: cluster(), number: 4, action }, &key())
}

fn root() -> Root {
    Root { key: key().public(), certificate: vec![0x30, 0x03, 1, 2, 3] }
}

fn root_order() -> Signed<RootOrder> {
    let order = RootOrder { cluster: cluster(), number: 1, action: RootAction::AddRoot(root()) };
    Signed::new(order, &key())
}

fn revocations() -> Signed<RevocationList> {
    let list = RevocationList {
        cluster: cluster(),
        number: 5,
        issued: UnixMillis(1_790_000_000_000),
        revoked: vec![Revoked::Node(node(9)), Revoked::Key(Digest::of(b"key"))],
    };
    Signed::new(list, &key())
}

fn founding() -> Founding {
    Founding {
        cluster: cluster(),
        roots: vec![root()],
        issuers: vec![Issuer { key: key().public(), node: node(1), certificate: vec![0x30, 0x01, 0] }],
        administrator: key().public(),
        layout: signed_layout(),
    }
}

pub(crate) fn samples() -> Vec<Sample> {
    let layout = || Box::new(signed_layout());
    let signature = key().sign(Purpose::Layout, b"x");
    let (now, by) = (UnixMillis(1_790_000_000_000), Digest::of(b"enrolling key"));
    let countersign = Command::Countersign { epoch: Epoch(2), voter: node(1), signature };
    let number = 3;
    let directory = Command::CountersignDirectory { number, voter: node(1), signature };
    let mut samples = vec![
        sample::<Signed<Grant>>("grant", &grant()),
        sample::<Signed<Order>>("order", &order()),
        sample::<Signed<RootOrder>>("root_order", &root_order()),
        sample::<RevocationList>("revocation_list", &revocations().statement),
        sample::<Signed<RevocationList>>("signed_revocation_list", &revocations()),
        sample::<Command>("command_found", &Command::Found(Box::new(founding()))),
        sample::<Command>("command_redeem", &Command::Redeem { grant: grant(), by, now }),
        sample::<Command>(
            "command_admit",
            &Command::Admit { grant: grant(), node: node(2), layout: layout() },
        ),
        sample::<Command>(
            "command_register_signer",
            &Command::RegisterSigner { grant: grant(), key: key().public() },
        ),
        sample::<Command>("command_install", &Command::Install(layout())),
        sample::<Command>("command_countersign", &countersign),
        sample::<Command>("command_acknowledge", &Command::Acknowledge { epoch: Epoch(2), node: node(2) }),
        sample::<Command>("command_administer", &Command::Administer { order: order(), layout: None }),
        sample::<Command>("command_by_root", &Command::ByRoot { order: root_order() }),
        sample::<Command>("command_recover", &Command::Recover(layout())),
        sample::<Command>("command_revoke", &Command::Revoke { list: revocations() }),
        sample::<Command>("command_countersign_directory", &directory),
        sample::<Command>("command_boot", &Command::Boot { node: node(1), counter: 6, nonce: [8; 16] }),
        sample::<Outcome>("outcome_refused", &Outcome::Refused(Refusal::StaleCopy { counter: 7 })),
        sample::<Outcome>("outcome_booted", &Outcome::Booted { counter: 7 }),
    ];
    samples.extend(enrolment());
    samples
}

fn enrolment() -> Vec<Sample> {
    let address = "192.0.2.1:7070".parse().expect("an address");
    let applicant = Applicant::Node {
        id: node(3),
        addresses: vec![address],
        voter_key: key().public(),
        weight: 100,
        zone: label("office"),
    };
    let request = vec![0x30, 0x00];
    let join = EnrolRequest::Join { token: [1; 16], secret: [2; 32], applicant, request: request.clone() };
    let client = Applicant::Client { signer: Some(key().public()), operator: label("alice") };
    let client =
        EnrolRequest::Join { token: [1; 16], secret: [2; 32], applicant: client, request: request.clone() };
    let renew = EnrolRequest::Renew { leaf: vec![0x30, 1, 2], addresses: vec![address], request };
    let admission = Admission {
        cluster: cluster(),
        chain: vec![vec![1], vec![2]],
        roots: vec![vec![3]],
        administrator: key().public(),
        layout: vec![4],
        directory: namespace().0.as_str().as_bytes().to_vec(),
    };
    let challenge =
        Challenge { nonce: [3; 32], cluster: cluster(), address, request: Digest::of(b"request") };
    let answer = ChallengeAnswer { signature: key().sign(Purpose::Enrolment, b"x") };
    vec![
        sample::<EnrolRequest>("enrol_join_node", &join),
        sample::<EnrolRequest>("enrol_join_client", &client),
        sample::<EnrolRequest>("enrol_renew", &renew),
        sample::<EnrolAnswer>("enrol_admitted", &EnrolAnswer::Admitted(Box::new(admission))),
        sample::<Challenge>("challenge", &challenge),
        sample::<ChallengeAnswer>("challenge_answer", &answer),
    ]
}
