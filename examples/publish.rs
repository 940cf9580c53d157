//! manual
use bytes::Bytes;
use gst::prelude::*;
use gstreamer as gst;
use gstreamer_app as gst_app;
use holdfast::config::*;
use holdfast::model::*;
use holdfast::output::{Feed, OutputCommand};
use std::sync::Arc;
use std::time::Duration;

fn leb(data: &[u8]) -> (usize, usize) {
    let mut v = 0usize;
    for i in 0..8 {
        let b = data[i];
        v |= ((b & 0x7f) as usize) << (i * 7);
        if b & 0x80 == 0 {
            return (v, i + 1);
        }
    }
    (v, 8)
}
fn obus(data: &[u8]) -> Vec<(u8, &[u8])> {
    let mut out = vec![];
    let mut p = 0;
    while p < data.len() {
        let h = data[p];
        let ty = (h >> 3) & 15;
        let ext = (h >> 2) & 1;
        let has = (h >> 1) & 1;
        let mut q = p + 1 + ext as usize;
        let sz;
        if has == 1 {
            let (s, n) = leb(&data[q..]);
            q += n;
            sz = s
        } else {
            sz = data.len() - q
        };
        out.push((ty, &data[p..q + sz]));
        p = q + sz;
    }
    out
}

fn main() {
    gst::init().unwrap();
    let args: Vec<String> = std::env::args().collect();
    let v = args[1].as_str();
    let a = args[2].as_str();
    let secs: u64 = args[3].parse().unwrap();
    let urls = &args[4..];
    let (vp, vc) = match v {
        "h264" => (
            "x264enc tune=zerolatency bitrate=1500 key-int-max=30 speed-preset=ultrafast ! h264parse ! video/x-h264,stream-format=avc,alignment=au",
            Codec::H264,
        ),
        "hevc" => (
            "x265enc tune=zerolatency speed-preset=ultrafast bitrate=800 key-int-max=30 ! h265parse ! video/x-h265,stream-format=hvc1,alignment=au",
            Codec::Hevc,
        ),
        _ => (
            "av1enc usage-profile=realtime cpu-used=10 keyframe-max-dist=30 target-bitrate=300 ! av1parse ! video/x-av1,stream-format=obu-stream,alignment=tu",
            Codec::Av1,
        ),
    };
    let (ap, ac) = match a {
        "aac" => ("avenc_aac bitrate=128000 ! aacparse ! audio/mpeg,stream-format=raw", Codec::Aac),
        _ => ("opusenc ! audio/x-opus", Codec::Opus),
    };
    let size = if v == "h264" { "1280,height=720" } else { "320,height=240" };
    let pl=gst::parse::launch(&format!("videotestsrc is-live=true pattern=ball ! video/x-raw,width={size},framerate=30/1,format=I420 ! {vp} ! appsink name=v sync=false audiotestsrc is-live=true ! audio/x-raw,rate=48000,channels=2 ! {ap} ! appsink name=a sync=false")).unwrap().downcast::<gst::Pipeline>().unwrap();
    let (tx, mut rx) = tokio::sync::mpsc::unbounded_channel::<Arc<AccessUnit>>();
    let input = InputId::new("cam").unwrap();
    let rend = RenditionId::new("main").unwrap();
    for (name, codec) in [("v", vc), ("a", ac)] {
        let tx = tx.clone();
        let input = input.clone();
        let rend = rend.clone();
        let sink = pl.by_name(name).unwrap().downcast::<gst_app::AppSink>().unwrap();
        let mut config: Option<Arc<CodecConfig>> = None;
        sink.set_callbacks(
            gst_app::AppSinkCallbacks::builder()
                .new_sample(move |s| {
                    let sample = s.pull_sample().unwrap();
                    let buf = sample.buffer().unwrap();
                    let caps = sample.caps().unwrap();
                    let st = caps.structure(0).unwrap();
                    let map = buf.map_readable().unwrap();
                    let data = map.as_slice();
                    let mut payload = data.to_vec();
                    let mut record = None;
                    let mut key = !buf.flags().contains(gst::BufferFlags::DELTA_UNIT);
                    if codec == Codec::Av1 {
                        payload.clear();
                        for (ty, b) in obus(data) {
                            if ty != 2 {
                                payload.extend_from_slice(b)
                            }
                            if ty == 1 {
                                let mut r = vec![0x81, 0x00, 0x0c, 0x00];
                                r.extend_from_slice(b);
                                record = Some(Bytes::from(r));
                                key = true;
                            }
                        }
                    } else if codec == Codec::Opus {
                        let h = st.get::<gst::ArrayRef>("streamheader").unwrap();
                        let b = h.as_slice()[0].get::<gst::Buffer>().unwrap();
                        record = Some(Bytes::copy_from_slice(b.map_readable().unwrap().as_slice()));
                    } else if let Ok(b) = st.get::<gst::Buffer>("codec_data") {
                        record = Some(Bytes::copy_from_slice(b.map_readable().unwrap().as_slice()));
                    }
                    if config.is_none() {
                        let Some(record) = record else { return Ok(gst::FlowSuccess::Ok) };
                        let format = if codec.is_video() {
                            TrackFormat::Video(VideoFormat { width: 320, height: 240, rate: FrameRate::whole(30) })
                        } else {
                            TrackFormat::Audio(AudioFormat { rate: 48000, channels: 2, samples: 1024 })
                        };
                        config = Some(Arc::new(CodecConfig { codec, record, format, bitrate: 1000000 }));
                    }
                    let seg = sample.segment().unwrap().downcast_ref::<gst::ClockTime>().unwrap();
                    let pts = seg.to_running_time(buf.pts().unwrap()).map_or(0, |t| t.nseconds()) as i64;
                    let u = AccessUnit {
                        input: input.clone(),
                        rendition: rend.clone(),
                        track: if codec.is_video() { Track::Video } else { Track::Audio },
                        pts: Media(pts),
                        dts: Media(pts),
                        key: key || !codec.is_video(),
                        config: config.clone().unwrap(),
                        payload: payload.into(),
                    };
                    let _ = tx.send(Arc::new(u));
                    Ok(gst::FlowSuccess::Ok)
                })
                .build(),
        );
    }
    pl.set_state(gst::State::Playing).unwrap();
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&rt,async move{
        let feed=Feed::new(Duration::from_secs(10),20<<20);
        let mut hs=vec![];
        for (i,u) in urls.iter().enumerate(){
            let (base,key)=u.rsplit_once('/').unwrap();
            let tls=base.starts_with("rtmps"); let rest=base.split_once("://").unwrap().1; let(auth,app)=rest.split_once('/').unwrap();
            let (host,port)=auth.rsplit_once(':').map(|(h,p)|(h,p.parse().unwrap())).unwrap_or((auth,if tls{443}else{1935}));
            let url=RtmpUrl{tls,host:host.into(),port,app:app.into()};
            let s=DestinationSettings{id:OutputId::new(&format!("d{i}")).unwrap(),rendition:rend.clone(),url,key:Secret::new(key),takeover:Takeover::RetryUntilFree,ca_file:std::env::var_os("CA").map(Into::into),enabled:true};
            let r=RenditionSettings{id:rend.clone(),codec:vc,width:320,height:240,bitrate:1500000,keyframe_interval:Duration::from_secs(1),encoder:EncoderChoice::Auto,audio:AudioSettings{codec:ac,bitrate:128000}};
            let sink:holdfast::output::EventSink=Arc::new(|e:holdfast::events::Event|println!("EVENT {:?} {:?} {} {} {:?}",e.kind,e.severity,e.subject,e.reason,e.evidence));
            let h=holdfast::output::rtmp::spawn(s,&r,FrameRate::whole(30),feed.clone(),sink,i as u64);
            h.commands.try_send(OutputCommand::Start).unwrap();
            hs.push(h);
        }
        let end=tokio::time::Instant::now()+Duration::from_secs(secs);
        let mut t=tokio::time::interval(Duration::from_secs(2)); let mut n=0;
        loop{ tokio::select!{ Some(u)=rx.recv()=>{n+=(u.track==Track::Video) as u64;feed.push(u)}, _=t.tick()=>{for h in &hs{let s=h.snapshot.borrow();println!("{n} {} {:?} sent {} lost {} bytes {} acked {} behind {}",s.id,s.state,s.sent,s.lost,s.bytes,s.acknowledged,s.behind_ms)}}, _=tokio::time::sleep_until(end)=>break } }
        for h in &hs{h.commands.try_send(OutputCommand::Stop).unwrap();}
        tokio::time::sleep(Duration::from_millis(1500)).await;
        for h in &hs{println!("END {n} {:?}",*h.snapshot.borrow())}
    });
    pl.set_state(gst::State::Null).unwrap();
}
