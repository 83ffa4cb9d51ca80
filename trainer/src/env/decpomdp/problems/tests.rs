use super::*;

#[test]
#[ignore]
fn same_as_given() {
    for (p, f) in [(&DEC_TIGER,"dectiger"),(&BROADCAST,"broadcastChannel"),(&RECYCLING,"recycling"),(&GRID_SMALL,"GridSmall")] {
        let given = parse(&std::fs::read_to_string(format!("/work/shared/problems/{f}.dpomdp")).unwrap()).unwrap();
        let own = p.model();
        let (ns, na, no) = (own.states(), own.actions().count(), own.observations().count());
        assert_eq!((ns, na, no, own.discount()), (given.states(), given.actions().count(), given.observations().count(), given.discount()));
        assert_eq!(own.start(), given.start());
        let mut worst = 0.0_f64;
        for a in 0..na { for s in 0..ns {
            let dense = |m: &DecPomdp, t: bool| { let mut v = vec![0.0; if t {ns} else {no}]; for (i,p) in (if t {m.transition(s,a)} else {m.observation(a,s)}).iter() { v[i]=p } v };
            for t in [true,false] { for (x,y) in dense(&own,t).iter().zip(dense(&given,t)) { worst = worst.max((x-y).abs()); assert!((x-y).abs()<1e-12, "{f} {a} {s} {t}"); } }
            for n in 0..ns { for o in 0..no { worst=worst.max((own.reward(s,a,n,o)-given.reward(s,a,n,o)).abs()); assert!((own.reward(s,a,n,o)-given.reward(s,a,n,o)).abs()<1e-12,"{f} {a} {s} {n} {o}"); } }
        } }
        println!("{f} same, worst {worst:e}");
    }
}
